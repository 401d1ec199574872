"""Pictures: the bytes of an image file become a few 28x28 candidates of the digit in it.

headers     the structure of a file, checked before any decoder reads it
encoded     image files in text: base64 and data: URLs
decoding    image files -> pictures, upright and reduced, with every limit on what is decoded
picture     what a decoder returns -> levels of 8 bits and transparency
levels      numbers and bytes that are grey levels -> pixels
mnist       whether an image is like MNIST's already
cropping    ink -> pixels, the way MNIST was made
views       a picture at several scales
contrast    hypotheses of what is paper, and the ink each of them leaves
components  connected parts of the ink, and which may be a digit together
lines       ruled lines, removed as one hypothesis
obvious     the short path: pictures whose paper and ink are plain to see
sheets      sheets, cards and windows within a picture
reading     picture -> candidates
measures    how a candidate stands in its picture, and how sure a model is
rows        several digits side by side
choosing    what the model says of the candidates -> the digit, or why there is none
golden      ten digits that every good model reads
identity    a hash of what comes out, which models carry
"""
