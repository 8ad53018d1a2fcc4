// The loaded vintages, oldest first.
MATCH (v:Vintage)
WHERE v.version IS NOT NULL
RETURN v.vintage AS vintage
ORDER BY vintage;
