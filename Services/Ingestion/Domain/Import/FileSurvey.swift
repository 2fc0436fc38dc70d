package import Models

/// What a first pass over the file finds out: where each group ends, so that the second pass can emit it there however
/// its rows are scattered, the latest time, and what the catalog holds.
package struct FileSurvey: Sendable {
    package private(set) var rows = 0
    /// The latest time of the file.
    package private(set) var latest: Instant?
    package private(set) var catalog: CatalogSurvey?
    /// The number of the last row of each group, by the hash of its key: of two keys with one hash the one is emitted
    /// with the end of the other, which is late and not wrong.
    private var lastRow: [UInt64: Int] = [:]

    private let isGrouped: Bool
    private let times: Set<Int>
    private let limits: ImportLimits
    private var reader: RowReader

    package init(
        _ mapping: ImportMapping, format: ImportFormat, withCatalog: Bool,
        limits: ImportLimits = ImportLimits()
    ) {
        isGrouped = mapping.groupBy != nil
        times = Set(mapping.events.map(\.timestamp))
        catalog = withCatalog ? mapping.catalog.map { CatalogSurvey(rule: $0) } : nil
        self.limits = limits
        reader = RowReader(mapping: mapping, format: format, limits: limits)
    }

    /// Reads the next bytes of the file.
    package mutating func append(_ bytes: [UInt8]) throws(UnreadableFile) {
        reader.append(bytes)
        try read()
    }

    /// Reads what is left at the end of the file.
    package mutating func finish() throws(UnreadableFile) {
        reader.finish()
        try read()
    }

    func lastRow(of key: String) -> Int { lastRow[StableHash.hash64(key)] ?? 0 }

    private mutating func read() throws(UnreadableFile) {
        while let item = try reader.next() {
            rows += 1
            switch item {
            case .row(let row, let key):
                if isGrouped { lastRow[StableHash.hash64(key)] = rows }
                for column in times {
                    if case .time(let instant) = row.values[column] {
                        latest = max(latest ?? instant, instant)
                    }
                }
                catalog?.add(row)
            case .refused(_, let key):
                if let key, isGrouped { lastRow[StableHash.hash64(key)] = rows }
            }
            guard lastRow.count <= limits.groups else {
                throw UnreadableFile(
                    line: rows,
                    message:
                        "the file has more than \(limits.groups) groups; split it, or leave `group-by` away")
            }
        }
    }

    /// How far all times move so that the latest is in the week before `instant`: whole weeks, so that weekdays and
    /// hours stay what they were.
    package func shift(to instant: Instant) -> Duration {
        guard let latest else { return .zero }
        let week = Duration.days(7).milliseconds
        return .milliseconds((instant.milliseconds - latest.milliseconds) / week * week)
    }
}
