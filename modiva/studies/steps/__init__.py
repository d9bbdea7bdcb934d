"""What a study computes, in steps: one file a kind, each a pure function of what it is told.

A kind is a function (settings, context) -> rows. It may write an artefact into `context.out` and
read the artefacts of the steps that it needs from `context.inputs`. Its file depends on no clock
and no global state, and the code that it is made of is listed in `modiva.studies.code`.
"""
