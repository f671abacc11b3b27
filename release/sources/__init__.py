"""Where a base model comes from, and the texts that it is calibrated on and measured with.

`base` resolves what the user named to a folder on this disk, through `demo` or `hub` where needed, or to files that
`remote` reads from the Hub without keeping them. `stated`, `identity` and `provenance` tell what is known of it,
`history` and `changes` what became of a repository since. `text` and `c4` are the texts. What is fetched lies in one
cache folder (`cache`) and is checked by digest at every use; `contact` is how the Hub is asked.
"""
