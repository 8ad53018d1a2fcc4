// How far stage 4 moved a code: the look-up of q_moved_most. Sets published before have no such property.
CREATE INDEX industry_vintage_moved IF NOT EXISTS FOR (n:Industry) ON (n.vintage, n.moved);
