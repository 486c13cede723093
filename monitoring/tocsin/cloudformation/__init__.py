"""Reading CloudFormation: text to tree, tree to resolved resources.  Knows nothing of alarms."""
