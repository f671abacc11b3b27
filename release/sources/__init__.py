"""Where base models and data sets come from.

`base` resolves what the user named to a folder on this disk, through `demo` or `hub` where needed, or to files that
`remote` reads from the Hub without keeping them. `bbq` and `text`
are the data catalogue. What is fetched lies in one cache folder (`cache`) and is checked by digest at every use.
"""
