package import Models
package import Postgres

/// Creates the installation's row and moves a rehearsal's clock; what `martlet up` and `martlet clock` call.
package enum Installation {
    /// Records what kind of installation this is, once; a later call answers what it was created as.
    package static func create(rehearsal: Bool, startingAt now: Instant, pool: PostgresPool) async throws
        -> Bool
    {
        try await pool.transaction { transaction in
            try await transaction.execute(
                "INSERT INTO platform.installation (rehearsal) VALUES (\(rehearsal)) ON CONFLICT DO NOTHING")
            let kind = try await transaction.query("SELECT rehearsal FROM platform.installation").first?
                .get("rehearsal", as: Bool.self)
            if kind == true {
                try await transaction.execute(
                    "INSERT INTO platform.clock (now) VALUES (\(now)) ON CONFLICT DO NOTHING")
            }
            return kind ?? rehearsal
        }
    }

    /// Sets the rehearsal's clock and tells every process; refused elsewhere and backwards.
    package static func setClock(to instant: Instant, pool: PostgresPool) async throws {
        try await pool.transaction { transaction in
            let rows = try await transaction.query(
                """
                SELECT c.now FROM platform.installation i JOIN platform.clock c ON true
                WHERE i.rehearsal FOR UPDATE OF c
                """)
            guard let row = rows.first else { throw ClockError.notARehearsal }
            let present = try row.get("now", as: Instant.self)
            guard instant >= present else { throw ClockError.backwards(from: present, to: instant) }
            try await transaction.execute("UPDATE platform.clock SET now = \(instant)")
            try await transaction.notify("platform_clock")
        }
    }
}
