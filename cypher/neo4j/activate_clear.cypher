// Codes the active set does not have carry no vectors. Parameters: $vintage, $id.
MATCH (n:Industry {vintage: $vintage})
WHERE n.embedding_set <> $id
REMOVE n.embedding, n.radius, n.poincare_x, n.poincare_y, n.knn, n.moved, n.embedding_set;
