// One table each, from rows with its columns in the order of read_tables; nodes before relationships.
// Parameters: $rows, an Arrow table.
COPY Migration FROM $rows;
COPY Vintage FROM $rows;
COPY Industry FROM $rows;
COPY IndexEntry FROM $rows;
COPY EmbeddingSet FROM $rows;
COPY Embedding FROM $rows;
COPY HAS_CHILD FROM $rows;
COPY EXCLUDES FROM $rows;
COPY CLASSIFIED_AS FROM $rows;
COPY BECAME FROM $rows;
COPY OF FROM $rows;
