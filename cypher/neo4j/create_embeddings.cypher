// Vectors of a set, each at its code. Parameters: $rows.
UNWIND $rows AS row
MATCH (n:Industry {key: row.industry})
CREATE (e:Embedding {key: row.key, set: row.set, embedding: row.embedding, radius: row.radius,
        poincare_x: row.poincare_x, poincare_y: row.poincare_y, knn: row.knn,
        moved: row.moved})-[:OF]->(n);
