"""After the candidate: one patch for somebody else's tree, a kit for consumers, comparisons."""
