// The children that codes listen to: for every listener those with the smallest keys
// (naics_graph/refine/draw.py).
// Parameters: $listeners (keys), $count, $r, $c0, $c1, $c2, $c3.
UNWIND $listeners AS key
MATCH (b:Industry {key: key})-[e:HAS_CHILD]->(a:Industry)
WHERE NOT a.missing
WITH b.position AS listener, a.position AS s, (a.position + $r * b.position) % 2147483647 AS x
WITH listener, s, (($c3 * x + $c2) % 2147483647 * x + $c1) % 2147483647 AS h, x
WITH listener, (h * x + $c0) % 2147483647 * 4294967296 + s AS edge
WITH listener, list_sort(collect(edge)) AS edges
RETURN listener, edges[1:$count] AS drawn;
