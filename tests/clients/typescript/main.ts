// A typed client of the OpenAPI document: prints the digits that two protocols read in the image of an example.
import createClient from "openapi-fetch";
import type { paths } from "./schema";

declare const process: { argv: string[]; exitCode: number };
const [, , baseUrl, rows] = process.argv;
const pixels: number[][] = JSON.parse(rows);
const client = createClient<paths>({ baseUrl });

const one = await client.POST("/predict", { body: { pixels }, params: { query: { explain: true } } });
if (one.error) throw new Error(one.error.detail);
const answer = one.data;
if (!("digit" in answer)) throw new Error("a list was answered");
const saw: number | undefined = answer.pixels?.[0][0];

const tensor = { name: "pixels", datatype: "UINT8", shape: [1, 28, 28], data: pixels };
const other = await client.POST("/v2/models/digits/infer", { body: { inputs: [tensor] } });
if (typeof other.data !== "object") throw new Error("binary tensors were answered");
const label = other.data.outputs.find((output) => output.name === "digit")?.data?.[0];

const refused = await client.POST("/v2/models/digits/infer", { body: { inputs: [{ ...tensor, name: "other" }] } });
const code: string | undefined = refused.error?.code;

console.log(JSON.stringify({ digit: answer.digit, saw, label, code }));
