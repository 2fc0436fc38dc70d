/// What can go wrong between a service and PostgreSQL. Descriptions carry no row data and no parameters, so they may
/// be logged; `PostgresServerError.detail` may hold row data and is for deciding only.
package enum PostgresError: Error, Sendable, CustomStringConvertible {
    /// The connection broke, or none could be made. A statement or COMMIT that was under way when it broke may or
    /// may not have taken effect: only the database can tell.
    case connectionLost(String)
    /// No connection became free within the pool's wait limit.
    case poolExhausted
    /// The statement ran longer than the session's statement timeout and was stopped by the server.
    case timeout
    /// The server refused the statement.
    case server(PostgresServerError)
    /// A column isn't what the caller asked for.
    case decoding(column: String, message: String)
    /// A value cannot be sent: text in PostgreSQL never holds a NUL byte.
    case unencodable(String)

    /// Whether the same call may well succeed a little later, without anybody changing it.
    package var isTransient: Bool {
        switch self {
        case .connectionLost, .poolExhausted: true
        case .timeout, .decoding, .unencodable: false
        case .server(let error): error.isTransient
        }
    }

    /// The server's five-character code, such as "23505".
    package var sqlState: String? {
        if case .server(let error) = self { error.sqlState } else { nil }
    }

    /// The name of the violated constraint.
    package var constraint: String? {
        if case .server(let error) = self { error.constraint } else { nil }
    }

    package var description: String {
        switch self {
        case .connectionLost(let reason): "the connection to PostgreSQL was lost: \(reason)"
        case .poolExhausted: "no connection to PostgreSQL became free in time"
        case .timeout: "the statement ran longer than the statement timeout"
        case .server(let error): error.description
        case .decoding(let column, let message): "column \(column) \(message)"
        case .unencodable(let message): message
        }
    }
}

/// An error report of the server.
package struct PostgresServerError: Error, Sendable, CustomStringConvertible {
    /// The five-character code (PostgreSQL documentation, appendix A).
    package var sqlState: String
    package var severity: String
    /// The server's primary message. In class 22 it quotes the offending value.
    package var message: String
    /// May hold row data: never log it.
    package var detail: String?
    package var hint: String?
    package var constraint: String?
    package var schema: String?
    package var table: String?
    package var column: String?
    /// Where in the statement's text the error was found, counted in characters from 1.
    package var position: Int?
    /// The function in the server's source that reported it.
    var sourceFunction: String?

    /// Whether the same call may well succeed a little later.
    package var isTransient: Bool {
        if sqlState.hasPrefix("08") || sqlState.hasPrefix("53") { return true }
        switch sqlState {
        case "40001", "40P01", "57P01", "57P02", "57P03", "57P05": return true
        case "25006": return true  // the server became a read-only standby
        case "55P03": return true  // lock_timeout or NOWAIT
        default: return needsNewPlan
        }
    }

    /// Whether a transaction that failed with it should simply be run again at once.
    var isRetryable: Bool {
        sqlState == "40001" || sqlState == "40P01" || needsNewPlan
    }

    /// A prepared statement that no longer fits, because a table changed or somebody ran DEALLOCATE.
    var needsNewPlan: Bool {
        sqlState == "26000" || (sqlState == "0A000" && sourceFunction == "RevalidateCachedQuery")
    }

    package var description: String {
        // Data exceptions quote the value in their primary message.
        let text = sqlState.hasPrefix("22") ? "a value is not what its place in the database holds" : message
        var place = ""
        if let table { place += " table=\(table)" }
        if let column { place += " column=\(column)" }
        if let constraint { place += " constraint=\(constraint)" }
        return "PostgreSQL \(sqlState): \(text)\(place)"
    }
}
