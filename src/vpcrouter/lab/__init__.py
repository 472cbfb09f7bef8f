"""The laboratory: a redundant pair of real routers on one machine, out of network namespaces. Imports nothing.

             P-ext  203.0.113.1/24, 198.51.100.1
               |
      br1 -----+-------------- public --------------------+
               |                                          |
       eth1 P-rA eth0 ------- br0, control ------- eth0 P-rB eth1
          eth2…eth9                                   eth2…eth9
               |                                          |
      brN -----+------------- tier N (2…9) ---------------+
                                 |
                               P-vmN  10.1.N.100/24, gateway 10.1.N.1

Every cable ends in the namespace P-sw, which holds the bridges br0…br9 and no address: cutting a cable is done
there. Read in this order: `layout` (what it looks like; pure), `topology` (namespaces and cables), `machines`
(what runs in them), `laboratory` (all of it, and what is remembered between two invocations), then what one does
with it: `burst`, `probing` and `probe`, `transfer`, `failover`, `drill`, `demo`; `recorder` and `holders`, which
watch; `soak`, which does everything at random (`steps` says what there is and what it may cost, `doing` does it,
`verdict` judges); `commands` is the command line.
"""
