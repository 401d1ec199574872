"""The upkeep of the project: its documents, their site, its releases.

documents.py  every document, and its blocks of code with what runs each
facts.py      what the code says of settings, problems, metrics, commands and routes, as Markdown tables
reference.py  `python -m project.reference` writes these tables into the documents
site.py       what MkDocs needs to make a site of the documents and of the files that they link
release.py    `make release`: version, checks, tag, images, bills of materials, site
"""
