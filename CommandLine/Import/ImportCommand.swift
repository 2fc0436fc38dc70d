import ArgumentParser
import Foundation
import IngestionDomain
import Models

/// `martlet import`
struct ImportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Take a CSV or NDJSON file in as events, as a mapping says.",
        discussion: """
            The file becomes an import of ingestion (/v1/imports), which goes on there whatever happens here; called
            again with the same file this goes on where it was. The mapping joins rows into events and says what each
            column is; a mistake in it is refused with its line. An NDJSON file without a mapping holds a call of the
            tracking API in each line. Message ids come from the data, so taking a file in again doubles nothing.
            Nothing is dropped silently: the closing report counts every row.

            While a service is away the import waits. It needs an API key with the scopes sources:read and
            sources:write, and catalog:write for a catalog. --write-key, --concurrency and --batch-size are taken as
            before and mean nothing any more.

            EXAMPLE:
              martlet import orders.csv.gz --mapping deploy/examples/mappings/online-retail.yaml --preview
              martlet import orders.csv.gz --mapping deploy/examples/mappings/online-retail.yaml --shift-to-now
            """)

    @OptionGroup var options: InstallationOptions
    @Argument(help: "A CSV or NDJSON file, also packed as .gz.") var file: String
    @Option(help: "The mapping, a YAML file.") var mapping: String?
    @Option(help: "csv or ndjson; by default what the name of the file ends with.") var format: String?
    @Option(help: "The source that the events are of, by its name or id.") var source = "web"
    @Option(help: "What the import is called; the name of the file by default.") var name: String?
    @Option(help: "Where ingestion answers; where `martlet up` put it by default.") var url: String?
    @Option(help: "The API key, or MARTLET_API_KEY; that of `martlet up` by default.") var apiKey: String?
    @Flag(help: "Leave the catalog alone.") var noCatalog = false
    @Flag(help: "Move all times by whole weeks, so that the last is in the week before now.") var shiftToNow =
        false
    @Flag(help: "Only read the file here and tell what it would come to; no installation is needed.")
    var dryRun =
        false
    @Flag(help: "Only show what the first rows would become, and what would become of that.") var preview =
        false
    @Option(help: .hidden) var writeKey: String?
    @Option(help: .hidden) var concurrency: Int?
    @Option(help: .hidden) var batchSize: Int?

    func validate() throws {
        if let format, ImportFormat(rawValue: format) == nil {
            throw ValidationError("--format must be csv or ndjson")
        }
        guard mapping != nil || fileFormat == .ndjson else {
            throw ValidationError("a CSV file needs --mapping")
        }
        if shiftToNow, mapping == nil { throw ValidationError("--shift-to-now needs --mapping") }
    }

    private var fileFormat: ImportFormat {
        if let format = format.flatMap({ ImportFormat(rawValue: $0) }) { return format }
        let name = file.hasSuffix(".gz") ? String(file.dropLast(3)) : file
        return name.hasSuffix(".ndjson") || name.hasSuffix(".jsonl") ? .ndjson : .csv
    }

    func run() async throws {
        let read = try mapping.map { try MappingFile.read(path: $0) }
        let definition = ImportDefinition(format: fileFormat, mapping: read?.mapping)
        guard FileManager.default.isReadableFile(atPath: file) else {
            throw CommandProblem("cannot read \(file): expected a CSV or NDJSON file, or one packed as .gz")
        }
        if writeKey != nil || concurrency != nil || batchSize != nil {
            StandardError.write(
                "--write-key, --concurrency and --batch-size mean nothing any more; leave them out\n")
        }
        if dryRun { return try rehearse(definition) }
        let installation = options.installation
        guard
            let key = apiKey ?? ProcessInfo.processInfo.environment["MARTLET_API_KEY"]
                ?? installation.read(.adminKey)
        else { throw CommandProblem("no API key is known; give --api-key, or start `martlet up` first") }
        let resumeDirectory = installation.path(of: "imports")
        try FileManager.default.createDirectory(atPath: resumeDirectory, withIntermediateDirectories: true)
        let started = ContinuousClock.now
        let target = url ?? installation.url(of: .ingestion)
        try await APIClient.with { api in
            let notices = NoticeBoard()
            let waiting: @Sendable (String) -> Void = { notices.say($0) }
            let client = ImportClient(api: api, url: target, apiKey: key, waiting: waiting)
            let sourceID = try await client.source(source)
            let text = String(decoding: read?.text ?? [], as: UTF8.self)
            let job = FileImport(
                path: file, definition: definition, mappingText: read?.text, name: name ?? fileName,
                client: client, sourceID: sourceID,
                catalog: noCatalog
                    ? nil
                    : CatalogSender(
                        api: api, url: installation.url(of: .recommendation), apiKey: key, waiting: waiting),
                resumePath: resumeDirectory
                    + "/\(read?.mapping.name ?? "calls")-\(StableHash.hash64(file, text)).json",
                shiftToNow: shiftToNow)
            if preview { return print(PreviewText.text(try await job.preview())) }
            let report = try await job.run()
            let seconds = Double((ContinuousClock.now - started).milliseconds) / 1000
            print(report.text)
            print("took        \(String(format: "%.1f", seconds)) s")
            if report.problemCount > 0 { throw ExitCode(1) }
        }
    }

    private var fileName: String { URL(fileURLWithPath: file).lastPathComponent }

    private func rehearse(_ definition: ImportDefinition) throws {
        let reading = LocalReading(path: file, definition: definition)
        let survey = try reading.survey(withCatalog: true)
        print(try reading.rehearse(survey).text)
        print("catalog     \(survey?.catalog?.json.count ?? 0) items")
    }
}
