/// Why a file cannot be read on: the line, and what was expected there.
package struct UnreadableFile: Error, Hashable, Sendable, CustomStringConvertible {
    package var line: Int
    package var message: String

    package init(line: Int, message: String) {
        self.line = line
        self.message = message
    }

    package var description: String { "line \(line): \(message)" }
}

/// A row that could not become part of an event, and why.
package struct RowRefusal: Error, Hashable, Sendable, CustomStringConvertible {
    package var line: Int
    /// One sentence for people. It names columns, and never quotes their values.
    package var reason: String
    /// The value that was not as expected. It may be personal: for showing, not for storing.
    package var found: String?

    package init(line: Int, reason: String, found: String? = nil) {
        self.line = line
        self.reason = reason
        self.found = found.map { $0.count > 60 ? String($0.prefix(60)) + "…" : $0 }
    }

    package var description: String { found.map { "\(reason), found “\($0)”" } ?? reason }
}

/// How the rows of a file are written.
package enum ImportFormat: String, CaseIterable, Hashable, Sendable {
    case csv
    /// A JSON object in each line: a call of the tracking API, or with a mapping a record whose members are the columns.
    case ndjson
}

/// How much of a file is held at once.
package struct ImportLimits: Hashable, Sendable {
    /// Bytes of one row. A longer one in a CSV file is taken for a quote that is never closed.
    package var rowBytes = 4 << 20
    /// Rows of one event. Sums of so many cannot overflow.
    package var groupRows = 10_000
    /// Events that rows are grouped into, in one file.
    package var groups = 5_000_000
    /// Bytes of the rows whose groups are not whole yet.
    package var openBytes = 64 << 20

    package init() {}
}
