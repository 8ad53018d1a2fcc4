// The parents that codes listen to: for every listener those with the smallest keys
// (naics_graph/refine/draw.py).
// Parameters: $listeners (keys), $count, $r, $c0, $c1, $c2, $c3.
UNWIND $listeners AS key
MATCH (b:Industry {key: key})
CALL (b) {
  MATCH (b)<-[:HAS_CHILD]-(a:Industry)
  WHERE NOT a.missing
  WITH a.position AS s, (a.position + $r * b.position) % 2147483647 AS x
  WITH s, (($c3 * x + $c2) % 2147483647 * x + $c1) % 2147483647 AS h, x
  WITH (h * x + $c0) % 2147483647 * 4294967296 + s AS edge
  ORDER BY edge LIMIT $count
  RETURN collect(edge) AS drawn
}
WITH b, drawn WHERE size(drawn) > 0
RETURN b.position AS listener, drawn;
