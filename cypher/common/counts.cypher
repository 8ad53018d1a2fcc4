// Nodes by label and relationships by type.
MATCH (n:Industry) RETURN 'Industry' AS name, count(n) AS number
UNION ALL MATCH (n:IndexEntry) RETURN 'IndexEntry' AS name, count(n) AS number
UNION ALL MATCH (n:EmbeddingSet) RETURN 'EmbeddingSet' AS name, count(n) AS number
UNION ALL MATCH (n:Embedding) RETURN 'Embedding' AS name, count(n) AS number
UNION ALL MATCH ()-[r:HAS_CHILD]->() RETURN 'HAS_CHILD' AS name, count(r) AS number
UNION ALL MATCH ()-[r:EXCLUDES]->() RETURN 'EXCLUDES' AS name, count(r) AS number
UNION ALL MATCH ()-[r:CLASSIFIED_AS]->() RETURN 'CLASSIFIED_AS' AS name, count(r) AS number
UNION ALL MATCH ()-[r:BECAME]->() RETURN 'BECAME' AS name, count(r) AS number
UNION ALL MATCH ()-[r:OF]->() RETURN 'OF' AS name, count(r) AS number;
