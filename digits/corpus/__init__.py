"""A corpus that looks like the world: people's handwriting, drawn with any pen on any ground.

handwriting  pen strokes of digits and letters of real writers, and drawn symbols; split by writer
drawing      a writing -> its ink, at any size and with any pen
"""
