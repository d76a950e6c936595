-- Templates with conditions and loops. A template keeps its engine: the values of waiting deliveries depend on it.

ALTER TABLE templates ADD COLUMN engine text NOT NULL DEFAULT 'plain' CHECK (engine IN ('plain', 'jinja'));
