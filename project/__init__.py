"""Maintenance of the project: its documents, their site, its releases.

documents.py  the documents, and their blocks of code with the test that runs each
facts.py      Markdown tables of settings, problems, metrics, commands and routes, made from the code
reference.py  `python -m project.reference` writes these tables into the documents
site.py       MkDocs hooks: a site of the documents and of the files that they link
release.py    `make release`: version, checks, tag, images, bills of materials, site
"""
