-- Addresses whose domain did not exist once. A second bounce, of another delivery and days later, suppresses them.

CREATE TABLE first_bounces (
    domain       text NOT NULL REFERENCES domains ON DELETE CASCADE,
    address      text NOT NULL, -- in the form in which addresses are compared
    at           timestamptz NOT NULL,
    delivery_id  bigint NOT NULL,
    PRIMARY KEY (domain, address)
);
CREATE INDEX first_bounces_by_age ON first_bounces (at);
