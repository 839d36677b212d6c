"""Files and directories that appear whole, and stay when the power goes."""
