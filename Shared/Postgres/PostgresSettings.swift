import CPostgres
import Models

/// How to reach a database, and how its sessions are set up.
package struct PostgresSettings: Sendable {
    /// The most connections that a pool opens (its listening connection comes on top).
    package var maxConnections = 8
    /// How long a caller waits for a free connection before `.poolExhausted`.
    package var waitLimit: Duration = .seconds(5)
    /// The longest that one statement may run; nil leaves the server's own setting.
    package var statementTimeout: Duration?
    /// How long opening a connection may take, in whole seconds.
    package var connectTimeout: Duration = .seconds(5)
    /// Shown in `pg_stat_activity`.
    package var applicationName = "martlet"
    /// The schemas that unqualified names are looked up in; nil leaves the role's own setting.
    package var searchPath: [String]?
    /// The role that sessions take on (`SET ROLE`), if not the one that logs in.
    package var role: String?

    private var parameters: [String: String]

    /// The defaults of libpq.
    package init() { parameters = [:] }

    /// Reads a connection URI or a libpq keyword string.
    package init(url: String) throws(PostgresSettingsError) {
        var message: UnsafeMutablePointer<CChar>?
        guard let options = PQconninfoParse(url, &message) else {
            // libpq's message quotes the offending part of the string, which could be the password.
            if let message { PQfreemem(message) }
            throw PostgresSettingsError(description: "the database URL is not a PostgreSQL connection URI")
        }
        defer { PQconninfoFree(options) }
        var parameters: [String: String] = [:]
        var option = options
        while let keyword = option.pointee.keyword {
            if let value = option.pointee.val {
                parameters[String(cString: keyword)] = String(cString: value)
            }
            option += 1
        }
        self.parameters = parameters
    }

    /// The name of the database.
    package var database: String {
        get { parameters["dbname"] ?? parameters["user"] ?? "" }
        set { parameters["dbname"] = newValue }
    }

    /// The role that logs in.
    package var user: String {
        get { parameters["user"] ?? "" }
        set { parameters["user"] = newValue }
    }

    /// The password; write only, so that it is never shown by accident.
    package mutating func setPassword(_ password: String) {
        parameters["password"] = password
    }

    /// Everything as a connection URI, with the password, the role and the search path, for handing to a process.
    package var uri: String {
        var pairs = parameters
        pairs["options"] = ([parameters["options"]].compactMap { $0 } + identityOptions).joined(
            separator: " ")
        let query = pairs.sorted { $0.key < $1.key }.filter { !$0.value.isEmpty }
            .map { "\($0.key)=\(Self.percentEncoded($0.value))" }
        return "postgresql://?" + query.joined(separator: "&")
    }

    private static func percentEncoded(_ text: String) -> String {
        text.utf8.map { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"),
                UInt8(ascii: "_"):
                String(UnicodeScalar(byte))
            default: (byte < 16 ? "%0" : "%") + String(byte, radix: 16, uppercase: true)
            }
        }.joined()
    }

    /// Keywords and values for `PQconnectdbParams`.
    var connectionParameters: [(keyword: String, value: String)] {
        var all = parameters
        all["application_name"] = applicationName
        all["client_encoding"] = "UTF8"
        // Kerberos is asked for by name or not at all: trying it costs each connection, and its library must not be
        // called while the process ends.
        if all["gssencmode"] == nil { all["gssencmode"] = "disable" }
        all["connect_timeout"] = String(max(2, connectTimeout.components.seconds))
        // A peer that vanished without a word is noticed within about half a minute.
        all["keepalives_idle"] = "15"
        all["keepalives_interval"] = "5"
        all["keepalives_count"] = "3"
        all["tcp_user_timeout"] = "30000"
        all["options"] = ([parameters["options"]].compactMap { $0 } + sessionOptions).joined(separator: " ")
        return all.map { (keyword: $0.key, value: $0.value) }
    }

    /// Server settings of each session, in the form of the `options` parameter.
    private var sessionOptions: [String] {
        var settings = [
            ("TimeZone", "UTC"), ("DateStyle", "ISO"), ("bytea_output", "hex"), ("IntervalStyle", "iso_8601"),
            ("client_min_messages", "warning"),
        ]
        if let statementTimeout {
            settings.append(("statement_timeout", "\(statementTimeout.milliseconds)ms"))
            // A statement that waits for somebody else may well succeed later; so this comes first and says so, where the
            // other would say that the statement itself takes too long.
            settings.append(("lock_timeout", "\(max(1, statementTimeout.milliseconds / 2))ms"))
        }
        return settings.map(Self.option) + identityOptions
    }

    /// What a session may do and what its names mean.
    private var identityOptions: [String] {
        var settings: [(String, String)] = []
        if let searchPath {
            settings.append(("search_path", searchPath.map(SQL.quoted(identifier:)).joined(separator: ",")))
        }
        if let role { settings.append(("role", role)) }
        return settings.map(Self.option)
    }

    private static func option(_ name: String, _ value: String) -> String {
        // Blanks and backslashes are escaped by a backslash in `options`.
        let escaped = value.replacing("\\", with: "\\\\").replacing(" ", with: "\\ ")
        return "-c \(name)=\(escaped)"
    }
}

/// A database URL that cannot be read.
package struct PostgresSettingsError: Error, CustomStringConvertible {
    package var description: String
}
