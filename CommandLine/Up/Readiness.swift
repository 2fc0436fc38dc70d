import Foundation
import Models

/// Asks services whether they are ready.
struct ReadinessProbe: Sendable {
    let api: APIClient

    /// Nil when the service is ready, else what stands in the way.
    func obstacle(_ url: String) async -> String? {
        do {
            let answer = try await api.send("GET", url + "/readyz", timeout: .seconds(5))
            return answer.status == 200 ? nil : answer.problem
        } catch {
            return "it does not answer at \(url)"
        }
    }

    /// Waits until every service is ready; throws what the last obstacles were when it takes too long.
    func wait(
        _ services: [(ServiceName, String)], limit: Duration,
        ready: @Sendable (ServiceName) async -> Void = { _ in }
    ) async throws {
        let deadline = ContinuousClock.now + limit
        var waiting = services
        while true {
            var obstacles: [(ServiceName, String, String)] = []
            for (service, url) in waiting {
                if let obstacle = await obstacle(url) {
                    obstacles.append((service, url, obstacle))
                } else {
                    await ready(service)
                }
            }
            guard !obstacles.isEmpty else { return }
            waiting = obstacles.map { ($0.0, $0.1) }
            guard ContinuousClock.now < deadline else {
                throw CommandProblem(
                    "not ready after \(limit.text):\n"
                        + obstacles.map { "  \($0.0.rawValue): \($0.2)" }.joined(separator: "\n"))
            }
            try await Task.sleep(for: .milliseconds(50))
        }
    }
}
