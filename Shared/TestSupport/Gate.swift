/// Holds whoever comes until it is opened: a receiver that doesn't answer yet.
package actor Gate {
    private var isOpen = false
    private var waiting: [CheckedContinuation<Void, Never>] = []

    package init() {}

    package func wait() async {
        if !isOpen { await withCheckedContinuation { waiting.append($0) } }
    }

    package func open() {
        isOpen = true
        for one in waiting { one.resume() }
        waiting = []
    }
}
