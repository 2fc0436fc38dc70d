import Glibc
import Dispatch

/// A child process in a process group of its own, so that Ctrl-C reaches the supervisor alone, which then
/// stops its children in order.
struct ChildProcess: Sendable {
    let pid: pid_t

    /// How a process ended.
    enum End: Sendable, CustomStringConvertible {
        case status(Int32)
        case signal(Int32)

        var description: String {
            switch self {
            case .status(let status): "exited with status \(status)"
            case .signal(let signal): "was ended by signal \(signal)"
            }
        }
    }

    /// Starts an executable; what it writes is appended to the log.
    static func start(
        executable: String, arguments: [String], environment: [String: String], log: String
    ) throws -> ChildProcess {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        // Appending keeps the log right when the supervisor cuts it short.
        posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        closeOthers(&actions)

        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        var all = sigset_t()
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

        var pid = pid_t()
        let failure = withCStrings([executable] + arguments) { arguments in
            withCStrings(environment.map { "\($0.key)=\($0.value)" }) { environment in
                posix_spawn(&pid, executable, &actions, &attributes, arguments, environment)
            }
        }
        guard failure == 0 else {
            throw CommandProblem("cannot start \(executable): \(String(cString: strerror(failure)))")
        }
        return ChildProcess(pid: pid)
    }

    /// Waits for the end on a thread of its own; to be called once.
    func end() async -> End {
        let pid = pid
        return await withCheckedContinuation { continuation in
            DispatchQueue(label: "martlet.child.\(pid)").async {
                var status: Int32 = 0
                while waitpid(pid, &status, 0) < 0, errno == EINTR {}
                let signal = status & 0x7F
                continuation.resume(returning: signal == 0 ? .status((status >> 8) & 0xFF) : .signal(signal))
            }
        }
    }

    func send(_ signal: Int32) { _ = kill(pid, signal) }

    /// Has the child close whatever else is open. It is the child that does it, because another thread of this process
    /// may open something between a look at what is open and the start; room is left for what it opens.
    private static func closeOthers(_ actions: inout posix_spawn_file_actions_t) {
        var highest: Int32 = 2
        if let directory = opendir("/proc/self/fd") {
            defer { closedir(directory) }
            while let entry = readdir(directory) {
                let name = withUnsafeBytes(of: entry.pointee.d_name) {
                    String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
                }
                highest = max(highest, Int32(name) ?? 0)
            }
        }
        // Closing what is not open is no mistake; a number that no descriptor can have would be one.
        let limit = min(Int(highest) + 256, sysconf(Int32(_SC_OPEN_MAX)) - 1)
        guard limit > 2 else { return }
        for descriptor in 3...Int32(limit) { posix_spawn_file_actions_addclose(&actions, descriptor) }
    }

    private static func withCStrings<T>(
        _ texts: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> T
    ) -> T {
        var pointers: [UnsafeMutablePointer<CChar>?] = texts.map { strdup($0) }
        defer { for pointer in pointers { free(pointer) } }
        pointers.append(nil)
        return pointers.withUnsafeBufferPointer { buffer in
            guard let base = buffer.baseAddress else { preconditionFailure("the list holds its end mark") }
            return body(base)
        }
    }
}
