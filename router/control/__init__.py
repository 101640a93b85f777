"""The control plane: what people and jobs do with workspaces, apart from how they ask for it."""
