"""Where sources come from: by import path, from folders, memory, descriptors, and what ships with the package."""
