import Foundation
import Models

/// Starts the services, restarts one that ends by itself, and stops them all in order.
actor Supervisor {
    /// What it takes to start a service.
    struct Plan: Sendable {
        let service: ServiceName
        let executable: String
        let environment: [String: String]
        let url: String
        let log: String
    }

    private struct Running {
        var child: ChildProcess?
        var state = "starting"
        var restarts = 0
        var task: Task<Void, Never>?
    }

    /// Facts first: what is accepted flows on while the later ones still run.
    static let stopOrder = ServiceName.deployed

    private let plans: [Plan]
    private let runFile: String
    private let say: @Sendable (String) -> Void
    private var running: [ServiceName: Running] = [:]
    private var stopping = false

    init(plans: [Plan], runFile: String, say: @escaping @Sendable (String) -> Void) {
        self.plans = plans
        self.runFile = runFile
        self.say = say
    }

    /// Which service runs where, in the order of the plans.
    var entries: [RunningEntry] {
        plans.map { plan in
            let one = running[plan.service]
            return RunningEntry(
                service: plan.service, url: plan.url, pid: one?.child?.pid ?? 0,
                state: one?.state ?? "stopped",
                restarts: one?.restarts ?? 0)
        }
    }

    func start() {
        for plan in plans {
            running[plan.service] = Running()
            running[plan.service]?.task = Task { await self.supervise(plan) }
        }
    }

    /// Notes what a service answers to `/readyz`.
    func note(_ service: ServiceName, ready: Bool) {
        guard running[service]?.child != nil else { return }
        set(service, state: ready ? "ready" : "starting")
    }

    private func supervise(_ plan: Plan) async {
        var pause = Duration.milliseconds(200)
        while !stopping {
            let started = ContinuousClock.now
            do {
                let child = try ChildProcess.start(
                    executable: plan.executable, arguments: ["serve"], environment: plan.environment,
                    log: plan.log)
                running[plan.service]?.child = child
                set(plan.service, state: "starting")
                let end = await child.end()
                running[plan.service]?.child = nil
                if stopping { break }
                // One that ran well for a while starts again at once; one that keeps dying waits longer.
                if ContinuousClock.now - started > .seconds(30) { pause = .milliseconds(200) }
                say("\(plan.service.rawValue) \(end); starting it again in \(pause.text) (see \(plan.log))")
            } catch {
                say("\(plan.service.rawValue): \(error); trying again in \(pause.text)")
            }
            running[plan.service]?.restarts += 1
            set(plan.service, state: "restarting")
            try? await Task.sleep(for: pause)
            pause = min(pause * 2, .seconds(10))
        }
        set(plan.service, state: "stopped")
    }

    /// Asks each service in turn to finish what it does, and waits for it.
    func stop(patience: Duration = .seconds(30)) async {
        guard !stopping else { return }
        stopping = true
        for service in Self.stopOrder {
            guard let one = running[service], let task = one.task else { continue }
            if let child = one.child {
                set(service, state: "stopping")
                child.send(SIGTERM)
                let killer = Task {
                    try await Task.sleep(for: patience)
                    child.send(SIGKILL)
                }
                await task.value
                killer.cancel()
            } else {
                task.cancel()
                await task.value
            }
        }
        try? FileManager.default.removeItem(atPath: runFile)
    }

    private func set(_ service: ServiceName, state: String) {
        guard running[service]?.state != state || state == "starting" else { return }
        running[service]?.state = state
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        if let data = try? encoder.encode(entries) {
            try? data.write(to: URL(fileURLWithPath: runFile), options: .atomic)
        }
    }

    /// Ends services that an earlier supervisor left behind when it was killed.
    static func endOrphans(of installation: InstallationDirectory, say: (String) -> Void) async throws {
        let orphans = installation.services().filter { entry in
            guard entry.pid > 1,
                let path = try? FileManager.default.destinationOfSymbolicLink(
                    atPath: "/proc/\(entry.pid)/exe")
            else { return false }
            return path.hasSuffix("/" + entry.service.executable)
                || path.hasSuffix("/\(entry.service.executable) (deleted)")
        }
        for orphan in orphans {
            say("\(orphan.service.rawValue) still runs from an earlier time (pid \(orphan.pid)); stopping it")
            kill(orphan.pid, SIGTERM)
        }
        for orphan in orphans {
            var looks = 0
            while kill(orphan.pid, 0) == 0 {
                looks += 1
                if looks == 100 { kill(orphan.pid, SIGKILL) }
                if looks > 150 {
                    throw CommandProblem("process \(orphan.pid) does not end; end it and try again")
                }
                try await Task.sleep(for: .milliseconds(100))
            }
        }
    }
}
