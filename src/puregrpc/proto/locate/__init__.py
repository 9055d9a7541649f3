"""Where in the text things stand: paths of elements, the tokens of each path, comments, the places of problems.

Only what is reported, or source info that is asked for, needs it.
"""
