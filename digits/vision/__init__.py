"""Pictures: the bytes of an image file become the pixels that the model was trained on.

normalising  grey levels -> pixels, the way MNIST was made
decoding     image files -> grey levels, with every limit on what is decoded
golden       ten digits that every good model reads
identity     a hash of what comes out, which models carry
"""
