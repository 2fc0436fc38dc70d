import AsyncHTTPClient
import Models
import NIOCore
import NIOHTTP1
import ServiceKit

/// The events of a debugger, for as long as anybody wants them: a stream that ends is taken up where it ended.
struct DebugFeed: Sendable {
    let api: APIClient
    let url: String
    let key: String

    /// Ends only by an error that will not pass.
    func follow(_ show: (ServerSentEvent) -> Void) async throws {
        var lastID: String?
        while true {
            do {
                lastID = try await read(after: lastID, show) ?? lastID
            } catch let problem as CommandProblem {
                throw problem
            } catch {
                try Task.checkCancellation()
                StandardError.write("the connection is gone (\(type(of: error))); trying again\n")
            }
            try await Task.sleep(for: .seconds(1))
        }
    }

    /// Reads until the stream ends; returns the id of the last event.
    private func read(after id: String?, _ show: (ServerSentEvent) -> Void) async throws -> String? {
        let response = try await api.open(
            url, as: .bearer(key), headers: id.map { ["Last-Event-ID": $0] } ?? [:])
        guard response.status == .ok else {
            let body = try await response.body.collect(upTo: 1 << 20)
            let answer = APIClient.Answer(
                status: Int(response.status.code), headers: [:], body: Array(body.readableBytesView))
            // The service is busy or away: as good as a connection that broke.
            if answer.status >= 500 || answer.status == 429 { throw FeedBusy() }
            throw CommandProblem(answer.problem)
        }
        var reader = ServerSentEventReader()
        var last: String?
        do {
            for try await chunk in response.body {
                for event in reader.events(in: chunk.readableBytesView) {
                    show(event)
                    last = event.id ?? last
                }
            }
        } catch {
            // What was shown must not be shown again.
            guard last != nil else { throw error }
        }
        return last
    }
}

/// There is no room for another debugger, or the service is away.
private struct FeedBusy: Error {}
