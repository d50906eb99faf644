"""Many blobs at once: what `tokenise` says of each, by numpy, in columns instead of loops.

Theory of operation. A *batch* is the text of some blobs, one after the other (`text`), with its
*runs* of letters and digits as columns of numbers: where each begins and ends, its first eight
bytes, whose it is. Whatever is asked of every run is one operation on a column. `keys` gathers the
distinct runs and phrases of a batch, and cuts only these into the keys of names. `marks` finds the
lines in which `uses` could find something, few of all, and asks it about them.

Only worker processes import this: numpy takes longer to import than a small change to be read.
"""
