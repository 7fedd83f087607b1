"""The verbs, in the order they run: observe, select, analyze, plan, generate, validate, merge,
train, assess, decide.
"""
