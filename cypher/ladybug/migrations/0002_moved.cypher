// How far stage 4 moved a code; null in the sets published before.
ALTER TABLE Industry ADD IF NOT EXISTS moved DOUBLE;
ALTER TABLE Embedding ADD IF NOT EXISTS moved DOUBLE;
