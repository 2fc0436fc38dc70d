import Logging
import Postgres
import ServiceKit
import ServiceLifecycle
import Streams

/// Does the matching jobs that there are, one after the other; of several instances, one at a time.
struct MatchingWorker: Service {
    let runner: MatchingRunner
    let hub: WakeHub
    let logger: Logger

    func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                let ticket = await hub.ticket([MatchingJobStore.channel])
                do {
                    if let job = try await runner.claim() {
                        await work(on: job)
                        continue
                    }
                    // A job of an instance that was killed is taken up when its lease runs out.
                    await hub.wait(ticket, upTo: .seconds(15))
                } catch {
                    if Task.isCancelled { return }
                    logger.debug(
                        "matching jobs are not moving; trying again", metadata: ["error": "\(error)"])
                    try? await Task.sleep(for: .seconds(1))
                }
            }
        }
    }

    private func work(on job: MatchingJob) async {
        do { try await runner.run(job) } catch {
            if !Task.isCancelled {
                logger.warning(
                    "a matching job is not moving; trying again",
                    metadata: ["job": "\(job.id)", "error": "\(error)"])
                try? await Task.sleep(for: .seconds(1))
            }
            // On shutdown as well: in a task of its own, which is not cancelled.
            let runner = runner
            await Task { try? await runner.release(job) }.value
        }
    }
}
