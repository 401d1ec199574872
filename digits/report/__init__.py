"""A model's quality as one HTML file, compared with the champion's.

answers  a model's answers to test images and to pictures of the corpus
figures  plots and pictures as data: URLs
page     the HTML
report   the whole: two models and their data -> a file
"""
