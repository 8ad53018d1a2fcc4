// Copy the vectors of a set onto its codes. Parameters: $id.
MATCH (e:Embedding {set: $id})-[:OF]->(n:Industry)
SET n.embedding = e.embedding, n.radius = e.radius, n.poincare_x = e.poincare_x,
    n.poincare_y = e.poincare_y, n.knn = e.knn, n.moved = e.moved, n.embedding_set = e.set;
