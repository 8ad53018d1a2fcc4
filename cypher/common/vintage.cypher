// What was loaded of a vintage; a vintage whose first load is not finished has no version.
// Parameters: $vintage.
MATCH (v:Vintage {vintage: $vintage})
WHERE v.version IS NOT NULL
RETURN v.vintage AS vintage, v.version AS version, v.left_out AS left_out, v.split AS split;
