import ArgumentParser
import Foundation
import Models
import ServiceKit

/// `martlet import`
struct ImportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Send a CSV file to ingestion as events, as a mapping says.",
        discussion: """
            The mapping joins rows into events and says what each column is; a mistake in it is refused with its
            line. Message ids come from the data, so sending a file again doubles nothing, and an import that was
            interrupted goes on where it was. Nothing is dropped silently: the closing report counts every row.

            While a service is away the import waits.

            EXAMPLE:
              martlet import orders.csv.gz --mapping deploy/examples/mappings/online-retail.yaml --shift-to-now
            """)

    @OptionGroup var options: InstallationOptions
    @Argument(help: "A CSV file, also packed as .gz.") var file: String
    @Option(help: "The mapping, a YAML file.") var mapping: String
    @Option(help: "Where ingestion answers; where `martlet up` put it by default.") var url: String?
    @Option(help: "The write key; that of the source `web` by default.") var writeKey: String?
    @Option(help: "The API key for the catalog; that of `martlet up` by default.") var apiKey: String?
    @Flag(help: "Leave the catalog alone.") var noCatalog = false
    @Flag(help: "Move all times by whole weeks, so that the last is in the week before now.") var shiftToNow =
        false
    @Option(help: "How many batches are on their way at once.") var concurrency = 4
    @Option(help: "How many events travel together.") var batchSize = 100
    @Flag(help: "Only read the file and tell what it would come to.") var dryRun = false

    func validate() throws {
        guard (1...64).contains(concurrency) else { throw ValidationError("--concurrency must be 1 to 64") }
        guard (1...1000).contains(batchSize) else { throw ValidationError("--batch-size must be 1 to 1000") }
    }

    func run() async throws {
        let read = try MappingReader.read(path: mapping)
        if dryRun { return try rehearse(read) }
        let installation = options.installation
        let environment = ProcessInfo.processInfo.environment
        guard let key = writeKey ?? environment["MARTLET_WRITE_KEY"] ?? installation.read(.writeKey) else {
            throw CommandProblem("no write key is known; give --write-key, or start `martlet up` first")
        }
        let adminKey = apiKey ?? environment["MARTLET_API_KEY"] ?? installation.read(.adminKey)
        if read.catalog != nil, !noCatalog, adminKey == nil {
            throw CommandProblem("no API key is known for the catalog; give --api-key or --no-catalog")
        }
        var shiftTo: Instant?
        if shiftToNow { shiftTo = try await now() }
        let mappingText = String(
            decoding: FileManager.default.contents(atPath: mapping) ?? Data(), as: UTF8.self)
        let resumeDirectory = installation.path(of: "imports")
        try FileManager.default.createDirectory(atPath: resumeDirectory, withIntermediateDirectories: true)
        let resumePath = resumeDirectory + "/\(read.name)-\(StableHash.hash64(file, mappingText)).json"
        let started = ContinuousClock.now
        let target = url ?? installation.url(of: .ingestion)
        let recommendation = installation.url(of: .recommendation)
        let counts = try await APIClient.with(connections: concurrency) { api in
            let notices = NoticeBoard()
            let waiting: @Sendable (String) -> Void = { notices.say($0) }
            return try await FileImport(
                path: file, mapping: read, mappingText: mappingText,
                sender: BatchSender(api: api, url: target, writeKey: key, waiting: waiting),
                catalog: noCatalog
                    ? nil
                    : adminKey.map {
                        CatalogSender(api: api, url: recommendation, apiKey: $0, waiting: waiting)
                    },
                resumePath: resumePath, concurrency: concurrency, batchSize: batchSize, shiftTo: shiftTo
            ).run()
        }
        let seconds = Double((ContinuousClock.now - started).milliseconds) / 1000
        print(counts.report)
        print("took        \(String(format: "%.1f", seconds)) s")
        if counts.refused > 0 { throw ExitCode(1) }
    }

    /// The time of the installation, which in a rehearsal is not the machine's.
    private func now() async throws -> Instant {
        guard FileManager.default.fileExists(atPath: options.installation.path) else {
            return .fromSystemClock()
        }
        return try await options.withDatabase { try await ServiceClock.ofInstallation($0).now() }
    }

    private func rehearse(_ mapping: Mapping) throws {
        func reader(_ file: CSVFile) throws -> RowReader {
            try RowReader(mapping: mapping, file: self.file) { try file.next() }
        }
        let survey = try FileSurvey(mapping: mapping, reader: reader(try CSVFile(path: file)))
        let again = try CSVFile(path: file)
        var cutter = BatchCutter(
            grouping: RowGrouping(reader: try reader(again), survey: survey),
            builder: EventBuilder(mapping: mapping, shift: .zero), skipGroups: 0, maxEvents: batchSize)
        var counts = ImportCounts()
        while let batch = try cutter.next() { counts.add(batch.counts) }
        print(counts.report)
        print("catalog     \(survey.catalog?.json.count ?? 0) items")
    }
}
