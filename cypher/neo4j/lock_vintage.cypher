// Hold the vintage against other writers until the transaction ends: the node is made if it is not
// there, and setting a property locks it. Parameters: $vintage.
MERGE (v:Vintage {vintage: $vintage})
SET v.vintage = $vintage
RETURN v.version AS version;
