"""Values of fields as users give them and as they are shown: scalars, lists of them, message objects."""
