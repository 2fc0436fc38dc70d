import IdentityDomain
import IngestionDomain

/// The columns of a CSV file that records are matched on.
struct MatchFile {
    private(set) var values: [[String?]]
    private(set) var count = 0
    /// What each record is called; nil where no column says so, and it is called by its number.
    private var names: [String?]?

    /// Records that are taken over at a time.
    private static let batch = 10_000

    init(
        path: String, columns: MatchColumns, id: String?, workers: MatchWorkers = .alone
    ) throws {
        values = Array(repeating: [], count: columns.names.count)
        let file = try LocalFile(path: path)
        var reader = CSVReader()
        var places: [Int]?
        var records: [CSVRecord] = []
        var ended = false
        while !ended {
            if let bytes = try file.next() {
                reader.append(bytes)
            } else {
                reader.finish()
                ended = true
            }
            do {
                while let record = try reader.next() {
                    guard let places else {
                        let header = Self.names(record)
                        places = try (columns.names + (id.map { [$0] } ?? [])).map {
                            try Self.place(of: $0, in: header, path)
                        }
                        if id != nil { names = [] }
                        continue
                    }
                    records.append(record)
                    if records.count == Self.batch { take(&records, places, workers) }
                }
            } catch let error as UnreadableFile {
                throw FileProblem(file: path, line: error.line, message: error.message)
            }
        }
        guard let places else { throw FileProblem(file: path, line: 1, message: "the file is empty") }
        take(&records, places, workers)
    }

    /// What a record is called.
    func id(_ record: Int) -> String { names?[record] ?? "\(record)" }

    /// Takes the fields at the places over, a column at a time, the names last.
    private mutating func take(_ records: inout [CSVRecord], _ places: [Int], _ workers: MatchWorkers) {
        let batch = records
        let texts = workers.map(places.count) { index in
            // A value that is no text is one that nothing is known of.
            batch.map { places[index] < $0.count ? $0.text(places[index]) : nil }
        }
        for column in values.indices {
            values[column] += texts[column].map { $0?.isEmpty == false ? $0 : nil }
        }
        if names != nil, let last = texts.last { names?.append(contentsOf: last) }
        count += batch.count
        records.removeAll(keepingCapacity: true)
    }

    private static func names(_ record: CSVRecord) -> [String] {
        (0..<record.count).map { index in
            let text = (record.text(index) ?? "")[...]
            let start = text.drop { $0.isWhitespace }
            return String(start.reversed().drop { $0.isWhitespace }.reversed())
        }
    }

    private static func place(of name: String, in header: [String], _ path: String) throws -> Int {
        guard let place = header.firstIndex(of: name) else {
            throw FileProblem(
                file: path, line: 1,
                message: "there is no column “\(name)”; expected one of \(header.joined(separator: ", "))")
        }
        return place
    }
}
