import ArgumentParser
import Foundation
import Models
import ServiceKit

/// `martlet debug`
struct DebugCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "debug",
        abstract: "Show what a source sends and what becomes of it, as it happens.",
        discussion: """
            First the last items, then each new one, until you end it. Whoever sends more than can be shown is told how
            much was left out.

            EXAMPLE:
              martlet debug --source web --last 20 --verdict quarantined
            """)

    @OptionGroup var options: InstallationOptions
    @Option(help: "The source, by its name or id.") var source = "web"
    @Option(help: "How many of the last items to begin with.") var last = 20
    @Option(help: "Only items that were accepted, duplicate, quarantined or refused; with commas, several.")
    var verdict: String?
    @Option(help: "Only events, pages and screens of this name.") var event: String?
    @Option(help: "An API key with the scope `sources:read`; that of the installation by default.")
    var apiKey: String?
    @Flag(help: "Write each item as one line of JSON.") var json = false

    func validate() throws {
        guard (0...500).contains(last) else { throw ValidationError("--last must be 0 to 500") }
    }

    func run() async throws {
        guard
            let key = apiKey ?? ProcessInfo.processInfo.environment["MARTLET_API_KEY"]
                ?? options.installation.read(.adminKey)
        else { throw CommandProblem("no API key is known; give --api-key, or start `martlet up` first") }
        let url = options.installation.url(of: .ingestion)
        let (isJSON, query) = (json, self.query)
        try await APIClient.with { api in
            let id = try await SourceFinder(api: api, url: url, key: key).id(of: source)
            let feed = DebugFeed(api: api, url: "\(url)/v1/sources/\(id)/debugger?\(query)", key: key)
            try await feed.follow { event in
                switch event.event {
                case "item":
                    print(isJSON ? event.data : DebugLine.text(event.data))
                    // Into a pipe as well at once.
                    fflush(nil)
                case "missed": StandardError.write(DebugLine.missed(event.data) + "\n")
                default: break
                }
            }
        }
    }

    private var query: String {
        var parts = URLComponents()
        parts.queryItems =
            [URLQueryItem(name: "last", value: String(last))]
            + [("verdict", verdict), ("event", event)].compactMap { name, value in
                value.map { URLQueryItem(name: name, value: $0) }
            }
        return (parts.percentEncodedQuery ?? "").replacing("+", with: "%2B")
    }
}

/// Finds a source by what people call it.
struct SourceFinder: Sendable {
    let api: APIClient
    let url: String
    let key: String

    func id(of name: String) async throws -> String {
        if let id = SourceID(name) { return id.description }
        var cursor: String?
        repeat {
            let page = try await api.send(
                "GET", "\(url)/v1/sources?limit=1000" + (cursor.map { "&cursor=\($0)" } ?? ""),
                as: .bearer(key))
            guard page.status == 200, let json = page.json else {
                throw CommandProblem("the sources can't be listed: \(page.problem)")
            }
            let found = json["items"]?.array?.first { $0["name"]?.string == name }
            if let id = found?["sourceId"]?.string { return id }
            cursor = json["nextCursor"]?.string
        } while cursor != nil
        throw CommandProblem("there is no source called \(name)")
    }
}
