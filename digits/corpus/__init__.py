"""Realistic pictures for training and testing: people's handwriting, drawn with any pen on any ground.

handwriting  pen strokes of digits and letters of real writers, and drawn symbols; split by writer
mislabelled  samples of it that no person reads as their label
drawing      a writing -> its ink, at any size and with any pen
canvas       a writing -> a canvas: where it stands, how large, with which pen and colour
colours      random colours of paper and ink, and pairs that a person tells apart
grounds      ruled and creased paper, wood, cloth, boards
frames       borders, bars, windows, phones, scanners
camera       light, lens and sensor
files        a canvas -> the bytes of an image file
drawings     kinds of pictures drawn on a screen
pens         kinds by the pen: thick, thin, broad, broken, of many colours
strokes      kinds whose strokes are dots, outlines, fading ink or relief, or lie on a photo
pages        kinds of pictures of paper: sheets, notes, forms, scans
framed       kinds of pictures with something around them
marked       kinds of pictures with other marks near the writing
photos       kinds of pictures that a camera takes
formats      kinds of pictures by how the file holds them
kinds        every kind by name
shapes       shapes, signs and scribbles as strokes
negatives    what is not one digit: letters, words, shapes, signs, scribbles, nothing at all
several      two or three digits side by side
threads      many pictures at once
examples     labelled pictures of every kind, reproducible from a seed
"""
