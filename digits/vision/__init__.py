"""Pictures: the bytes of an image file -> candidates for the digit in it, as images for the model.

formats     the formats that are read: names, suffixes, signatures
headers     the structure of a file, checked before any decoder reads it
limits      what is decoded: limits by format, and the errors past them
encoded     image files in text: base64 and data: URLs
decoding    image files -> pictures, upright and reduced
weighing    image files -> their kinds and numbers of pixels, to estimate costs
picture     a decoded picture: 8-bit levels and transparency
levels      grey levels as numbers or bytes -> pixels
mnist       recognises images that are already like MNIST's
cropping    ink -> pixels, the way MNIST was made
views       a picture at several scales
contrast    hypotheses of what is paper, and the ink that each one finds
components  connected parts of the ink, and which may form a digit together
lines       ruled lines and printed boxes, removed as one hypothesis
faint       ink that is paler than the writing, as paper: one more hypothesis
faded       ink that fades along its strokes, found whole
solid       outlines and rows of dots, made solid strokes
inks        ink of one colour on a ground of many colours
sheets      sheets, cards and windows within a picture
hypotheses  a view of a picture -> the parts of its ink under every hypothesis
obvious     the short path: pictures with obvious paper and ink
candidates  images that may be the digit, and where in the picture they come from
reading     picture -> candidates, for the reader "digit"
resizing    picture -> the whole picture as the only candidate, for the reader "resize"
reader      the reader that the task names
measures    a candidate's place in its picture, and a model's certainty
rows        several digits side by side
fitted      scores that were fitted on pictures: quadratic functions of a few facts
choosing    the model's scores for the candidates -> the digit, or the reason for none
golden      an image of each label, which every good model reads correctly
identity    a hash of the results of the preprocessing, which models record
"""
