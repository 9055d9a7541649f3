"""Whether an answer is right: the oracles, and the words for what they see. Nothing here sends anything."""
