"""What runs a project's migrations, in a process of its own, and imports nothing of this project by its name.

The project under judgement may be this one, in another version: that one is found by its name then.
"""
